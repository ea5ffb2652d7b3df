"""Personal data: who may be erased, by whom, and what a legal hold keeps."""
