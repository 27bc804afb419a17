"""loaders: the data loaders people use, each as a few facts about its stack. Adding one is adding one file and one line."""
