"""What every reasonable combination of choices says, and which choices matter."""
