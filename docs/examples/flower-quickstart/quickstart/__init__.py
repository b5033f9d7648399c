"""A Flower app: a small convolutional network learns scikit-learn's digits."""
