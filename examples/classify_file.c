/* Classify one photo in this process, without Redis: classify_file MODEL.safetensors PHOTO
 * cc classify_file.c $(pkg-config --cflags --libs imgq) */
#include <imgq/imgq.h>

#include <stdio.h>
#include <stdlib.h>

static int report(const imgq_error *err)
{
    fprintf(stderr, "classify_file: %s\n", err->message);
    return imgq_status_exit_code(err->status);
}

int main(int argc, char **argv)
{
    imgq_error err;
    imgq_env *env = NULL;
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    imgq_prediction top[5];
    int code = 0;
    static unsigned char bytes[32 << 20];
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: classify_file MODEL.safetensors PHOTO\n");
        return 2;
    }
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);

    if (imgq_env_create(NULL, &env, &err) != IMGQ_OK || imgq_model_open(env, argv[1], NULL, &model, &err) != IMGQ_OK ||
        imgq_session_create(model, NULL, &session, &err) != IMGQ_OK ||
        imgq_session_classify(session, bytes, len, top, 5, &err) != IMGQ_OK) {
        code = report(&err);
    } else {
        for (int i = 0; i < 5; i++)
            printf("%d. %s: %.4f\n", i + 1, imgq_model_label(model, top[i].class_id), (double)top[i].probability);
    }
    imgq_session_destroy(session);
    imgq_model_close(model);
    imgq_env_destroy(env);
    return code;
}
