/* Options and info structs end with their last field: padding behind it would carry an old caller's junk into the
 * option that a newer library puts there. Run with the headers' folder: every struct with a size field is listed here. */
#include <imgq/imgq.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDS_WITH(type, field)                                                                                         \
    _Static_assert(sizeof(type) == offsetof(type, field) + sizeof(((type *)0)->field), #type " has a padded tail")

ENDS_WITH(imgq_env_options, max_progressive_pixels);
ENDS_WITH(imgq_decode_options, reserved);
ENDS_WITH(imgq_encoded_info, reserved);
ENDS_WITH(imgq_recipe, std);
ENDS_WITH(imgq_model_options, bn_eps);
ENDS_WITH(imgq_session_options, isa);
ENDS_WITH(imgq_session_info, isa);
ENDS_WITH(imgq_layer_info, macs);
ENDS_WITH(imgq_cpu_peak, median_gflops);
ENDS_WITH(imgq_queue_options, reserved);
ENDS_WITH(imgq_submit_options, result_ttl_ms);
ENDS_WITH(imgq_result_info, compute_ms);
ENDS_WITH(imgq_job_info, model);
ENDS_WITH(imgq_answer, compute_ms);
ENDS_WITH(imgq_queue_stats, reserved);
ENDS_WITH(imgq_job_status, deadline_unix_ms);
ENDS_WITH(imgq_worker_status, info);
ENDS_WITH(imgq_worker_options, reserved);
_Static_assert(sizeof(imgq_error) == 256, "the error record is frozen");
_Static_assert(sizeof(imgq_prediction) == 8, "predictions live in arrays: frozen");

enum { CHECKED_HERE = 18 };

int main(int argc, char **argv)
{
    char command[1024], line[256];
    int sized = 0;
    if (argc != 2)
        return EXIT_FAILURE;
    snprintf(command, sizeof command, "grep -hE '^ +size_t size[;,]' %s/*.h", argv[1]);
    FILE *lines = popen(command, "r");
    while (lines != NULL && fgets(line, sizeof line, lines) != NULL)
        sized++;
    if (lines != NULL)
        pclose(lines);
    printf("%d structs with a size field in the headers, %d checked here\n", sized, CHECKED_HERE);
    return sized == CHECKED_HERE ? EXIT_SUCCESS : EXIT_FAILURE;
}
