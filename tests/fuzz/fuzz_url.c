/* What a person types as an address: read or refused, and no password in any message. */
#include "net/url.h"

#include <imgq/env.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char secret[] = "s3cr3tpw";

static void check_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
}

static void parse(imgq_env *env, const char *text, bool has_secret)
{
    iq_url url, copy;
    imgq_error err = {0};
    if (iq_url_parse(env, text, &url, &err) != IMGQ_OK) {
        check_line(err.message);
        if (err.message[0] == '\0' || url.host != NULL || url.path != NULL || url.where != NULL ||
            (has_secret && strstr(err.message, secret) != NULL))
            abort();
        return;
    }
    if ((url.host == NULL) == (url.path == NULL) || (url.host != NULL && url.port == 0))
        abort();
    if (has_secret && (strstr(url.where, secret) != NULL || strstr(url.shown, secret) != NULL))
        abort();
    check_line(url.where);
    check_line(url.shown);
    if (iq_url_copy(env, &url, &copy, &err) != IMGQ_OK || strcmp(copy.shown, url.shown) != 0)
        abort();
    iq_url_release(env, &copy);
    iq_url_release(env, &url);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static imgq_env *env;
    char *text = malloc(len + 64);
    if ((env == NULL && imgq_env_create(NULL, &env, NULL) != IMGQ_OK) || text == NULL)
        abort();
    memcpy(text, bytes, len);
    text[len] = '\0';
    const bool is_clean = strstr(text, secret) == NULL;
    parse(env, text, false);
    /* The same as the rest of an address that has a password. */
    const char *const heads[] = {"redis://u:", "unix://:", ":", "http://"};
    for (size_t i = 0; is_clean && i < sizeof heads / sizeof *heads; i++) {
        const int head = snprintf(text, 40, "%s%s@", heads[i], secret);
        memcpy(text + head, bytes, len);
        text[(size_t)head + len] = '\0';
        parse(env, text, true);
    }
    free(text);
    return 0;
}
