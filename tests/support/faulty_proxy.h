/* Stands between a client and a redis-server, in a thread of its own, and makes the network bad on demand. */
#ifndef TEST_FAULTY_PROXY_H
#define TEST_FAULTY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct faulty_proxy faulty_proxy;

/** Listens on a loopback port and forwards to a server's Unix socket. Ends the program if it cannot.
 *  @return owned, faulty_proxy_stop() */
faulty_proxy *faulty_proxy_start(const char *target_socket);
/** Closes all. NULL is a no-op. */
void faulty_proxy_stop(faulty_proxy *proxy);
/** Borrowed: "redis://127.0.0.1:PORT". */
const char *faulty_proxy_url(const faulty_proxy *proxy);

/* Settings work at once, on living and on new connections. */

/** Every piece of bytes arrives this much later, in both directions. */
void faulty_proxy_set_delay_ms(faulty_proxy *proxy, int ms);
/** After `bytes` more bytes from servers (or clients) the connection that carried the last of them is closed both ways,
 * with nothing behind them forwarded; then all is well again. -1: never. */
void faulty_proxy_cut_replies_after(faulty_proxy *proxy, int64_t bytes);
void faulty_proxy_cut_requests_after(faulty_proxy *proxy, int64_t bytes);
/** Swallow everything, both ways; connections stay open and new ones are accepted. */
void faulty_proxy_black_hole(faulty_proxy *proxy, bool on);
/** Drop messages of channels (smessage, message), forward everything else. */
void faulty_proxy_drop_messages(faulty_proxy *proxy, bool on);
/** Accept and close at once. */
void faulty_proxy_refuse(faulty_proxy *proxy, bool on);
/** Reset all living connections; returns when it is done. */
void faulty_proxy_break_all(faulty_proxy *proxy);

/** Counts so far. */
uint64_t faulty_proxy_connections(const faulty_proxy *proxy);
uint64_t faulty_proxy_cuts(const faulty_proxy *proxy);
uint64_t faulty_proxy_dropped_messages(const faulty_proxy *proxy);
/** Bytes taken from clients. */
uint64_t faulty_proxy_request_bytes(const faulty_proxy *proxy);

#endif
