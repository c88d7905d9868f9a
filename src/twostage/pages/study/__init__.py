"""The pages of one study."""
