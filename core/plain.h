/*
 * Text that is safe to show: names and messages come from other people, and a terminal obeys what it is shown. Where messages
 * are made this is applied to the whole line, so that nobody needs to think of it where one is written.
 */
#ifndef SW_CORE_PLAIN_H
#define SW_CORE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SW_PLAIN_SIZE 1024 /* bytes of a line, its NUL included */

/*
 * Replace control characters, those that turn the text (below), and what is no UTF-8 by escapes as in C: \n, \t and \xNN. What is printable stays, also beyond
 * ASCII. The text ends where it does not fit any more; size is SW_PLAIN_SIZE at most. Any thread.
 */
void sw_plain(char *text, size_t size);
/*
 * Whether the valid UTF-8 at p, or a text that ends with a NUL, goes on with one of the characters, of three bytes each, that turn what
 * follows from right to left or back (U+202A to U+202E, U+2066 to U+2069): a stranger's words must not change how the rest of a line
 * looks. Letters that are written so need none of them. Any thread.
 */
bool sw_plain_turns(const uint8_t *p);

#endif
