"""The tests of fastlayer."""
