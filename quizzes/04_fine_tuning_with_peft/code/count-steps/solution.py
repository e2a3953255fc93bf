import math

steps = 3 * math.ceil(50 / 8)
