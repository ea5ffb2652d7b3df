"""What people have typed and not sent, kept so that a dropped connection loses none of it."""
