/* A worker inside a program of one's own, until SIGTERM or SIGINT: embed_worker REDIS_URL MODEL.safetensors
 * cc embed_worker.c $(pkg-config --cflags --libs imgq) */
#include <imgq/imgq.h>

#include <signal.h>
#include <stdio.h>

static imgq_worker *worker;

static void stop(int signal_number)
{
    (void)signal_number;
    imgq_worker_stop(worker); /* async-signal-safe: the batch in hand is finished, the rest given back */
}

int main(int argc, char **argv)
{
    imgq_error err;
    imgq_env *env = NULL;
    imgq_model *model = NULL;
    imgq_worker_queue served = {.weight = 1};
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.roles = IMGQ_ROLE_WORKER;
    options.keep_leases = 1; /* a thread of the handle renews what was taken, whatever the network computes */
    if (argc != 3) {
        fprintf(stderr, "usage: embed_worker REDIS_URL MODEL.safetensors\n");
        return 2;
    }
    imgq_status status = imgq_env_create(NULL, &env, &err);
    if (status == IMGQ_OK)
        status = imgq_model_open(env, argv[2], NULL, &model, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_open(env, argv[1], &options, &served.queue, &err);
    if (status == IMGQ_OK)
        status = imgq_worker_create(&served, 1, model, NULL, &worker, &err);
    if (status == IMGQ_OK) {
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
        sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
        status = imgq_worker_run(worker, &err);
    }
    if (status != IMGQ_OK)
        fprintf(stderr, "embed_worker: %s\n", err.message);
    imgq_worker_destroy(worker);
    imgq_queue_close(served.queue);
    imgq_model_close(model);
    imgq_env_destroy(env);
    return imgq_status_exit_code(status);
}
