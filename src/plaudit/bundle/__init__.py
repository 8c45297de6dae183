"""What lies between training and everything else: the folder on disk, and scoring with it. Knows no torch."""
