"""What BuildKit makes of Dockerfiles, from the test data of it and of real repositories."""
