import { use, useMemo } from "react";

import { pickModel } from "../api/models";
import type { SamplingBody } from "../api/conversations";
import { useModels } from "../api/useModels";
import type { Asking } from "../conversation/acts";
import { SettingsContext } from "../settings/context";
import type { Sampling } from "../settings/settings";

/**
 * With what the next reply is asked for; null until the server has named its models.
 *
 * What loads and unloads by itself changes the model of no conversation that has begun.
 */
export function useAsking(begunWith: string | null) {
  const { settings } = use(SettingsContext);
  const query = useModels();
  const models = query.data;
  const model = models ? pickModel(models, [begunWith, settings.model]) : null;
  const { sampling } = settings;
  const how: Asking | null = useMemo(
    () => (model === null ? null : { models: [model], sampling: samplingBody(sampling) }),
    [model, sampling],
  );
  return { how, model, models, query };
}

/** What is left to the model's own default is left out. */
export function samplingBody({ temperature, topP, maxTokens }: Sampling): SamplingBody {
  return {
    ...(temperature === null ? {} : { temperature }),
    ...(topP === null ? {} : { top_p: topP }),
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
  };
}
