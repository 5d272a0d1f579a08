/* All of imgq. A program that only submits or takes jobs links imgq-client and includes queue.h and image.h. */
#ifndef IMGQ_IMGQ_H
#define IMGQ_IMGQ_H

#include <imgq/admin.h>
#include <imgq/cpu.h>
#include <imgq/env.h>
#include <imgq/image.h>
#include <imgq/model.h>
#include <imgq/queue.h>
#include <imgq/reference.h>
#include <imgq/session.h>
#include <imgq/status.h>
#include <imgq/version.h>
#include <imgq/worker.h>

#endif
