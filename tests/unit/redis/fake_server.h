/* A server that says what a test tells it to, byte by byte: on a Unix socket, in a thread of its own. */
#ifndef TEST_FAKE_SERVER_H
#define TEST_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fake_server fake_server;

enum fake_ending {
    FAKE_CLOSE,  /* after the last byte */
    FAKE_SILENT, /* stay connected and say no more */
    FAKE_AGAIN   /* the same answer to each further request */
};

/** What every connection gets, until the next fake_server_says(): an answer to the greeting, and one to what follows
 * it. */
typedef struct fake_answer {
    bool hang_up;         /* after the greeting */
    const char *greeting; /* NULL: "+OK\r\n+PONG\r\n" */
    const char *bytes;    /* borrowed until the next fake_server_says(), as the greeting */
    size_t len;
    size_t step; /* bytes at a time, 0: all at once */
    int step_ms; /* between them */
    enum fake_ending ending;
} fake_answer;

fake_server *fake_server_start(void);
void fake_server_says(fake_server *server, fake_answer answer);
const char *fake_server_url(const fake_server *server);
size_t fake_server_connections(fake_server *server);
void fake_server_stop(fake_server *server);

#endif
