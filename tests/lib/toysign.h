/*
 * Signatures that cost next to nothing, for tests that make histories by the million, where half of
 * the time would go into curves. A toy signature is a hash of key and message: a wrong one is
 * refused as ever, but anyone could make a right one.
 */
#ifndef TESTS_LIB_TOYSIGN_H
#define TESTS_LIB_TOYSIGN_H

/* A program that calls this is linked with the toys in the place of libsodium's functions, whenever
 * it calls it. */
void toysign_use(void);

#endif
