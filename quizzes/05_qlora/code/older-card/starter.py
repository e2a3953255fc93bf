config = ...  # a BitsAndBytesConfig
