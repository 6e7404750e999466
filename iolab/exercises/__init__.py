"""Behind the notebooks: predictions, the source of a model, and the checks that say why an answer is wrong."""
