/**
 * All commands, in the order of the help.
 *
 * @module
 */

import type { AddCommand } from "./add_command.ts";
import { addCancel } from "./cancel.ts";
import { addComplete } from "./complete.ts";
import { addCompletions } from "./completions.ts";
import { addDashboard } from "./dashboard.ts";
import { addDatabase } from "./database.ts";
import { addDemo } from "./demo.ts";
import { addDoctor } from "./doctor.ts";
import { addEngine } from "./engine.ts";
import { addHandlers } from "./handlers.ts";
import { addMigrate } from "./migrate.ts";
import { addLogs } from "./logs.ts";
import { addPeriodic } from "./periodic.ts";
import { addPrune } from "./prune.ts";
import { addPublish } from "./publish.ts";
import { addRetry } from "./retry.ts";
import { addRun } from "./run.ts";
import { addSelfTest } from "./self_test.ts";
import { addService } from "./service.ts";
import { addStart } from "./start.ts";
import { addStatus } from "./status.ts";
import { addTask } from "./task.ts";
import { addTasks } from "./tasks.ts";
import { addWebRequest } from "./web_request.ts";

/** Every command. */
export const COMMANDS: readonly AddCommand[] = [
  addPublish,
  addWebRequest,
  addTasks,
  addTask,
  addRetry,
  addCancel,
  addStart,
  addRun,
  addStatus,
  addDashboard,
  addPeriodic,
  addService,
  addLogs,
  addMigrate,
  addHandlers,
  addPrune,
  addDoctor,
  addDemo,
  addCompletions,
  addComplete,
  addEngine,
  addDatabase,
  addSelfTest,
];
