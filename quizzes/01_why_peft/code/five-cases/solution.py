choices = {"A": "lora", "B": "qlora", "C": "none", "D": "full", "E": "lora"}
