/* A safetensors file of any bytes: header, metadata with labels and preprocessing, and the search for a network. */
#include "model/safetensors.h"
#include "model/told.h"

#include "base/env.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static imgq_env *env;
    if (env == NULL && imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        abort();
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    imgq_error err = {0};
    if (iq_weights_create(env, IQ_SOURCE_SAFETENSORS, "fuzz.safetensors", &set, &err) != IMGQ_OK)
        abort();
    imgq_status status = iq_safetensors_parse(set, bytes, len, &err);
    if (status == IMGQ_OK)
        status = iq_told_by_metadata(set, &err);
    if (status == IMGQ_OK)
        status = iq_model_from_weights(env, set, NULL, &model, &err);
    /* A message is one line, and there is one for every failure. */
    for (const char *c = err.message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            abort();
    if (status != IMGQ_OK && err.message[0] == '\0')
        abort();
    imgq_model_close(model);
    iq_weights_destroy(set);
    return 0;
}
