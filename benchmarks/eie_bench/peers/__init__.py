"""Other hardware that runs the same small networks: designs of NNgen, and a processor core."""
