"""One description of a training step: family, base, adapter, optimizer, batch; loads no torch.

Each axis is a table of small frozen objects that answer two questions: how is it built, with the
libraries' own calls, and what does it cost in bytes. A new one is one entry in its table.
"""
