/* What a piece of code writes to stdout or stderr, as text. */
#ifndef TEST_CLI_CAPTURE_H
#define TEST_CLI_CAPTURE_H

/** From now on the descriptor (1 or 2) goes to a temporary file. One at a time for each of the two. */
void capture_begin(int fd);
/** Puts the descriptor back. @return what was written, static until the next call for this descriptor */
const char *capture_end(int fd);

#endif
