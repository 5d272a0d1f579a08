#include "cli/common/json.h"

#include "base/json.h"

#include <string.h>

void cli_json_text(FILE *out, imgq_env *env, const char *text)
{
    iq_buf buf = {0};
    if (iq_json_write_text(env, &buf, text))
        fwrite(buf.data, 1, buf.len, out);
    else
        fputs("null", out);
    iq_buf_release(env, &buf);
}

void cli_json_member(FILE *out, imgq_env *env, const char *key, const char *text)
{
    fprintf(out, ",\"%s\":", key);
    cli_json_text(out, env, text);
}

void cli_json_raw(FILE *out, imgq_env *env, const char *json)
{
    iq_json *root = NULL;
    /* One line is promised, and a line break inside would be two. */
    const bool is_json = strpbrk(json, "\r\n") == NULL && iq_json_parse(json, strlen(json), &root, NULL) == IMGQ_OK;
    if (is_json)
        fputs(json, out);
    else
        cli_json_text(out, env, json);
    iq_json_free(root);
}
