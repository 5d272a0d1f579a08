/* What the image tests share: files, hashes of pixels, an env that counts. */
#ifndef TEST_IMAGE_SUPPORT_H
#define TEST_IMAGE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/image.h>

typedef struct file_bytes {
    uint8_t *data; /* an exact malloc, so that a sanitizer sees one byte read past the end */
    size_t len;
} file_bytes;

/** Owned, free(data); a file that cannot be read fails the running test. */
bool read_file(const char *path, file_bytes *out);
/** The same of a file that make_image_corpus.py drew, "fuzz_png/exif.png". */
bool read_drawn(const char *name, file_bytes *out);
/** CHECKs that the sha256 of the bytes is the one wanted, 64 hex digits. @param what names it where it is not */
bool check_sha256(const char *want, const void *bytes, size_t len, const char *what);

/** An env that counts bytes; one at a time. @return owned, imgq_env_destroy(); a failed create fails the test */
imgq_env *counting_env(void);
/** Most bytes that lived at once in the last counting_env(), since it began or since the last counting_restart(). */
size_t counting_peak(void);
size_t counting_live(void);
void counting_restart(void);

#endif
