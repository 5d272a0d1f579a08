/* What a file that is no model looks like, in the words of who has it on disk. */
#include "model/weights.h"

#include "base/fail.h"
#include "model/told.h"

#include <string.h>
#include <strings.h>

typedef struct look {
    const char *start;
    size_t len;
    const char *what;
} look;

#define STARTS(text, what)                                                                                             \
    {                                                                                                                  \
        text, sizeof(text) - 1, what                                                                                   \
    }

static const look looks[] = {
    STARTS("version https://git-lfs", "a Git-LFS pointer, not the file it stands for (git lfs pull fetches it)"),
    STARTS("\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"),
    STARTS("PK\x03\x04", "a zip archive, as PyTorch (.pth) and Keras (.keras) write them"),
    STARTS("\x80\x02", "a Python pickle, as PyTorch (.pth) writes them"),
    STARTS("GGUF", "a GGUF file"),
    STARTS("\xff\xd8\xff", "a JPEG image"),
    STARTS("\x89PNG", "a PNG image"),
    STARTS("\x1f\x8b", "a gzip archive"),
    STARTS("\x7f"
           "ELF",
           "a program"),
    STARTS("\x08", "an ONNX file, or something like it"),
};

static const char *skip_blanks(const char *text, const char *end)
{
    while (text < end && (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n'))
        text++;
    return text;
}

static bool starts_with_word(const char *text, const char *end, const char *word)
{
    const size_t len = strlen(word);
    return (size_t)(end - text) >= len && strncasecmp(text, word, len) == 0;
}

static const char *look_of(const char *head, size_t len)
{
    if (len == 0)
        return "empty";
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        if (len >= looks[i].len && memcmp(head, looks[i].start, looks[i].len) == 0)
            return looks[i].what;
    const char *text = skip_blanks(head, head + len), *end = head + len;
    if (starts_with_word(text, end, "<!doctype html") || starts_with_word(text, end, "<html"))
        return "an HTML page, not the file that its link promised";
    if (starts_with_word(text, end, "<?xml"))
        return "an XML text";
    if (starts_with_word(text, end, "{"))
        return "a JSON text";
    return NULL;
}

imgq_status iq_weights_refuse(const char *path, const void *head, size_t len, const char *wanted, imgq_error *err)
{
    const char *what = look_of(head, len);
    if (what == NULL)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "read model %s: this is not %s", iq_shown_path(path), wanted);
    return iq_fail(err, IMGQ_E_FORMAT, 0, "read model %s: this is %s, not %s", iq_shown_path(path), what, wanted);
}
