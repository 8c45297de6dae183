"""Learning: encoded reviews in, a bundle out. The only room that imports torch; knows no HTTP and no AWS."""
