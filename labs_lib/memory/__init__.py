"""What fine-tuning costs in bytes: closed form, trace, published and measured."""
