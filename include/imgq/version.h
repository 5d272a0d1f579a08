/* The version of the headers a program was compiled with, and of the library it runs with. */
#ifndef IMGQ_VERSION_H
#define IMGQ_VERSION_H

#include <imgq/export.h>

#define IMGQ_VERSION_MAJOR 0
#define IMGQ_VERSION_MINOR 1
#define IMGQ_VERSION_PATCH 0
#define IMGQ_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the library at run time, "0.1.0"; static, never freed. Any thread. */
IMGQ_API const char *imgq_version(void);

#ifdef __cplusplus
}
#endif

#endif
