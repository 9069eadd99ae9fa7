/* paths.h - where files are by default.
 *
 * build.sh defines CQ_STATE_DIR, where the counters are: it lies below the
 * PREFIX that the build is for. */
#ifndef CQ_PATHS_H
#define CQ_PATHS_H

#ifndef CQ_STATE_DIR
#define CQ_STATE_DIR "/var/lib/clamquota"
#endif

/* emptied at a boot, below whatever PREFIX */
#define CQ_RUN_DIR "/run"

#define CQ_TABLE_PATH CQ_STATE_DIR "/clamquota.table"

#endif
