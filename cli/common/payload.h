/* A file's bytes as a job carries them: as they are, or decoded, resized and normalised here. */
#ifndef CLI_COMMON_PAYLOAD_H
#define CLI_COMMON_PAYLOAD_H

#include <imgq/image.h>
#include <imgq/queue.h>

#include "cli/common/args.h"
#include "cli/common/files.h"

enum { CLI_PAYLOAD_ENCODED, CLI_PAYLOAD_U8, CLI_PAYLOAD_F32 }; /* "encoded|u8|f32" */
#define CLI_PAYLOAD_CHOICES "encoded|u8|f32"

typedef struct cli_payload_how {
    int kind;           /* CLI_PAYLOAD_... */
    imgq_recipe recipe; /* of tensors: cli_payload_find_recipe() */
    bool exif_apply;
    cli_colour background;
} cli_payload_how;

/** @param out owned, free(data) @return IMGQ_OK; as cli_file_read(), imgq_encoded_resample() */
imgq_status cli_payload_make(imgq_env *env, const cli_payload_how *how, const char *path, cli_bytes *out,
                             imgq_error *err);
/**
 * The recipe of tensors: the profile's; without one what the queue's live workers tell.
 * @param profile  NULL: not said
 * @param queue    NULL only with a profile
 * @return IMGQ_OK; IMGQ_E_NOTFOUND, IMGQ_E_CONFLICT (cli_workers_profile(), imgq_recipe_find())
 */
imgq_status cli_payload_find_recipe(cli_payload_how *how, const char *profile, imgq_queue *queue, imgq_error *err);
/** What a submit must say about such payloads: media, size, profile. @param options out; borrows from how */
void cli_payload_describe(const cli_payload_how *how, imgq_submit_options *options);

#endif
