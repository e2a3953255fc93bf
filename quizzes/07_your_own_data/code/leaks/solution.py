def leaks(train, test):
    seen = {" ".join(row["prompt"].lower().split()) for row in train}
    entities = {row["entity"] for row in train}
    places = []
    for place, row in enumerate(test):
        text = " ".join(row["prompt"].lower().split())
        if text in seen or row["entity"] in entities:
            places.append(place)
    return places
