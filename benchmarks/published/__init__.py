"""Published measurements, predicted from one measured row of each group. One file a class of prediction."""
