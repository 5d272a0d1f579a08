/* Submit a photo to a queue and wait for its answer: submit_await REDIS_URL PHOTO
 * cc submit_await.c $(pkg-config --cflags --libs imgq-client) */
#include <imgq/queue.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    imgq_error err;
    imgq_env *env = NULL;
    imgq_queue *queue = NULL;
    imgq_result *result = NULL;
    imgq_id id;
    size_t count = 0;
    static unsigned char bytes[32 << 20];
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: submit_await REDIS_URL PHOTO\n");
        return 2;
    }
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);

    imgq_status status = imgq_env_create(NULL, &env, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_open(env, argv[1], NULL, &queue, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_submit(queue, bytes, len, NULL, &id, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_await(queue, &id, 1, 30000, &result, &err);
    if (status != IMGQ_OK) {
        fprintf(stderr, "submit_await: %s\n", err.message);
    } else if ((status = imgq_result_status(result)) != IMGQ_OK) {
        fprintf(stderr, "submit_await: %s\n", imgq_result_message(result));
    } else {
        const imgq_prediction *top = imgq_result_top(result, &count);
        for (size_t i = 0; i < count; i++)
            printf("%zu. %s: %.4f\n", i + 1, imgq_result_label(result, i), (double)top[i].probability);
    }
    imgq_result_destroy(result);
    imgq_queue_close(queue);
    imgq_env_destroy(env);
    return imgq_status_exit_code(status);
}
