"""Colours of figures: Okabe and Ito's palette, told apart with every common colour vision. Line
styles and markers repeat the difference.
"""

BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
PINK = "#CC79A7"
GREY = "#666666"
