"""Artist Group Factors: dictionary, artist bag-of-words and topics, and each task's targets."""
