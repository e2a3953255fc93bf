lora = {"method": "lora", "rank": 16, "learning_rate": 1e-3, "steps": 64,
        "batch_size": 4, "seeds": [0, 1, 2], "scored_on": "test"}
bench = {"lora": lora, "qlora": {**lora, "method": "qlora"}}
