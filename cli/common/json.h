/* JSON on a stream, for what is no answer of a job. */
#ifndef CLI_COMMON_JSON_H
#define CLI_COMMON_JSON_H

#include <stdio.h>

#include <imgq/env.h>

/** "..." with escapes; NULL: null. @param env whose memory is used for a moment; when it runs out: null */
void cli_json_text(FILE *out, imgq_env *env, const char *text);
/** `,"key":` and the text. */
void cli_json_member(FILE *out, imgq_env *env, const char *key, const char *text);
/** The text itself if it is a JSON value (an info line that a worker wrote), else as cli_json_text(). */
void cli_json_raw(FILE *out, imgq_env *env, const char *json);

#endif
