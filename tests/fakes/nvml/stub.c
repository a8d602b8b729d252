/* A stand-in for libnvidia-ml.so.1: emulates GPUs that a control file describes, for tests of the real binding.
 *
 * The file named by NVML_STUB is read anew when it was replaced. It holds lines KEY=VALUE, numbers as NVML has them
 * (mJ, mW, return codes):
 *
 *   init          what nvmlInit returns, and every other call while it is not 0
 *   driver        version of the driver
 *   hang_ms       every call on a GPU takes that long
 *   count         number of GPUs
 *   N.uuid N.name N.limit (largest power limit) N.c2c (1: Grace-Hopper) N.parent (of a MIG instance, its GPU)
 *   N.handle      what getting the handle returns
 *   N.ret         what every call on the GPU returns
 *   N.energy      energy counter; N.draw is added to it per second of this process
 *   N.instant     NVML field 186; N.module is its value in the module's scope, N.type its value type (1: unsigned int)
 *   N.power       nvmlDeviceGetPowerUsage
 *   N.energy.ret N.instant.ret N.power.ret
 *
 * A handle ends with nvmlShutdown, as those of the real library do: INVALID_ARGUMENT after that.
 *
 * With NVML_STUB_OLD defined, calls that came with later drivers are not there at all.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4 };
enum { MAX_GPUS = 64, FIELD_INSTANT = 186, SCOPE_MODULE = 1 };

typedef struct { int index, era; } device_t;
typedef struct {
    uint32_t field, scope;
    int64_t timestamp, latency_us;
    uint32_t type, ret;
    union { double d; uint32_t ui; unsigned long long ull; } value;
} field_value_t;

static device_t devices[2][MAX_GPUS];
static char text[16384];
static struct stat known;
static int opened, era;
static struct timespec born;

static void look(void) {
    const char *path = getenv("NVML_STUB");
    struct stat now;
    if (!path || stat(path, &now) != 0) { text[0] = '\0'; return; }
    if (text[0] && now.st_ino == known.st_ino && now.st_mtim.tv_nsec == known.st_mtim.tv_nsec) return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    text[0] = '\n'; /* so that every key stands after a line's end */
    size_t length = fread(text + 1, 1, sizeof text - 2, file);
    text[length + 1] = '\0';
    fclose(file);
    known = now;
}

static const char *find(const char *key) {
    char wanted[80];
    snprintf(wanted, sizeof wanted, "\n%s=", key);
    const char *at = strstr(text, wanted);
    return at ? at + strlen(wanted) : NULL;
}

static long long number(const char *key, long long otherwise) {
    const char *at = find(key);
    return at ? atoll(at) : otherwise;
}

static long long of(const device_t *device, const char *key, long long otherwise) {
    char whole[60];
    snprintf(whole, sizeof whole, "%d.%s", device->index, key);
    return number(whole, otherwise);
}

static int copy(const char *key, const char *otherwise, char *out, unsigned length) {
    const char *at = find(key);
    size_t n = at ? strcspn(at, "\n") : strlen(otherwise);
    snprintf(out, length, "%.*s", (int)n, at ? at : otherwise);
    return SUCCESS;
}

static int copy_of(const device_t *device, const char *key, char *out, unsigned length) {
    char whole[60];
    snprintf(whole, sizeof whole, "%d.%s", device->index, key);
    return copy(whole, "", out, length);
}

static int ready(void) {
    look();
    if (number("init", 0)) return UNINITIALIZED;
    return opened > 0 ? SUCCESS : UNINITIALIZED;
}

static int known_by(const device_t *device) {
    int ret = ready();
    return ret ? ret : device->era == era ? SUCCESS : INVALID_ARGUMENT;
}

static int asked(const device_t *device, const char *call) {
    int ret = known_by(device);
    if (ret) return ret;
    long long hang_ms = number("hang_ms", 0);
    struct timespec wait = {hang_ms / 1000, (hang_ms % 1000) * 1000000};
    if (hang_ms) nanosleep(&wait, NULL);
    if ((ret = (int)of(device, "ret", 0))) return ret;
    char key[40];
    snprintf(key, sizeof key, "%s.ret", call);
    if ((ret = (int)of(device, key, 0))) return ret;
    return of(device, call, -1) < 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    look();
    if (!born.tv_sec) clock_gettime(CLOCK_MONOTONIC, &born);
    int ret = (int)number("init", 0);
    opened += ret == SUCCESS;
    return ret;
}

int nvmlShutdown(void) {
    int ret = opened > 0 ? SUCCESS : UNINITIALIZED;
    opened -= opened > 0;
    era += opened == 0;
    return ret;
}

const char *nvmlErrorString(int ret) {
    (void)ret;
    return "an error of the stub";
}

int nvmlSystemGetDriverVersion(char *out, unsigned length) {
    int ret = ready();
    return ret ? ret : copy("driver", "580.0", out, length);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    int ret = ready();
    *count = (unsigned)number("count", 0);
    return ret;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t **device) {
    int ret = ready();
    if (ret) return ret;
    if (index >= MAX_GPUS || index >= number("count", 0)) return INVALID_ARGUMENT;
    *device = &devices[era % 2][index];
    **device = (device_t){(int)index, era};
    return (int)of(*device, "handle", 0);
}

int nvmlDeviceGetUUID(device_t *device, char *out, unsigned length) {
    int ret = ready();
    return ret ? ret : copy_of(device, "uuid", out, length);
}

int nvmlDeviceGetName(device_t *device, char *out, unsigned length) {
    int ret = ready();
    return ret ? ret : copy_of(device, "name", out, length);
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t *instance, device_t **device) {
    long long parent = of(instance, "parent", -1);
    return parent < 0 ? INVALID_ARGUMENT : nvmlDeviceGetHandleByIndex_v2((unsigned)parent, device);
}

int nvmlDeviceGetPowerManagementLimitConstraints(device_t *device, unsigned *least_mw, unsigned *most_mw) {
    int ret = asked(device, "limit");
    *least_mw = 0;
    *most_mw = (unsigned)of(device, "limit", 0);
    return ret;
}

int nvmlDeviceGetPowerUsage(device_t *device, unsigned *power_mw) {
    int ret = asked(device, "power");
    *power_mw = (unsigned)of(device, "power", 0);
    return ret;
}

#ifndef NVML_STUB_OLD
int nvmlDeviceGetTotalEnergyConsumption(device_t *device, unsigned long long *energy_mj) {
    int ret = asked(device, "energy");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double age_s = (double)(now.tv_sec - born.tv_sec) + (double)(now.tv_nsec - born.tv_nsec) * 1e-9;
    *energy_mj = (unsigned long long)of(device, "energy", 0) + (unsigned long long)(age_s * (double)of(device, "draw", 0));
    return ret;
}

int nvmlDeviceGetC2cModeInfoV(device_t *device, unsigned *enabled) {
    int ret = asked(device, "c2c");
    *enabled = (unsigned)of(device, "c2c", 0);
    return ret;
}

int nvmlDeviceGetFieldValues(device_t *device, int count, field_value_t *values) {
    int ret = known_by(device);
    if (ret) return ret;
    if ((ret = (int)of(device, "ret", 0))) return ret;
    for (int n = 0; n < count; n++) {
        const char *key = values[n].scope == SCOPE_MODULE ? "module" : "instant";
        values[n].ret = values[n].field == FIELD_INSTANT ? (uint32_t)of(device, "instant.ret", 0) : NOT_SUPPORTED;
        if (!values[n].ret && of(device, key, -1) < 0) values[n].ret = NOT_SUPPORTED;
        values[n].type = (uint32_t)of(device, "type", 1);
        values[n].value.ull = 0;
        if (values[n].type == 0) values[n].value.d = (double)of(device, key, 0);
        else values[n].value.ui = (uint32_t)of(device, key, 0);
    }
    return SUCCESS;
}
#endif
