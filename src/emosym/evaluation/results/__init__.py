"""What a measurement leaves on disk: results, predictions, sample lists, run folders."""
