/* Await many answers from a host's own poll(2) loop, which never blocks in imgq: event_loop REDIS_URL PHOTO…
 * cc event_loop.c $(pkg-config --cflags --libs imgq-client) */
#include <imgq/queue.h>

#include <poll.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    imgq_error err;
    imgq_env *env = NULL;
    imgq_queue *queue = NULL;
    static unsigned char bytes[32 << 20];
    int open_jobs = 0, failed = 0;
    if (argc < 3 || imgq_env_create(NULL, &env, &err) != IMGQ_OK ||
        imgq_queue_open(env, argv[1], NULL, &queue, &err) != IMGQ_OK) {
        fprintf(stderr, "event_loop: %s\n", argc < 3 ? "usage: event_loop REDIS_URL PHOTO…" : err.message);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        size_t len = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
        if (file != NULL)
            fclose(file);
        if (imgq_queue_submit(queue, bytes, len, NULL, NULL, &err) == IMGQ_OK)
            open_jobs++;
        else
            fprintf(stderr, "event_loop: %s: %s\n", argv[i], err.message);
    }
    while (open_jobs > 0) {
        struct pollfd fd = {.fd = imgq_queue_fd(queue), .events = (short)imgq_queue_events(queue)};
        imgq_result *ready = NULL;
        poll(&fd, 1, imgq_queue_timeout_ms(queue)); /* the host's other descriptors would stand here too */
        while (imgq_queue_process(queue, &ready, &err) == IMGQ_OK) {
            imgq_status status = imgq_result_status(ready);
            printf("%s %s\n", imgq_result_id(ready).text,
                   status == IMGQ_OK ? imgq_result_label(ready, 0) : imgq_result_message(ready));
            failed += status != IMGQ_OK;
            open_jobs--;
            imgq_result_destroy(ready);
        }
    }
    imgq_queue_close(queue);
    imgq_env_destroy(env);
    return failed > 0;
}
