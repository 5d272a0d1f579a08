/* Marks what the shared libraries export, and which results must be looked at. */
#ifndef IMGQ_EXPORT_H
#define IMGQ_EXPORT_H

#if defined(__GNUC__)
#define IMGQ_API __attribute__((visibility("default")))
#define IMGQ_CHECKED __attribute__((warn_unused_result))
#else
#define IMGQ_API
#define IMGQ_CHECKED
#endif

#endif
