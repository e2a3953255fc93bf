bench = ...  # {"lora": {…}, "qlora": {…}}
