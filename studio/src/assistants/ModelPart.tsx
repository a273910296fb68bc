import { useId } from "react";

import { useText } from "../i18n";
import type { Rule } from "./fields";
import { Faults, ItemList, NumberInput, TextField, WordsField } from "./inputs";
import type { PartProps } from "./RecipeForm";

/** Who answers: one model, or a router over several. */
export function ModelPart({ fields, choices, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  const name = useId();
  const router = fields.router ?? null;
  const offers = choices.models.map((one) => one.name);
  const usual = choices.default_model;
  return (
    <section>
      <h2>{words.model}</h2>
      <div className="options" role="radiogroup" aria-label={words.model}>
        <label>
          <input
            type="radio"
            name={name}
            checked={router === null}
            onChange={() => onFields({ router: null, model: router?.default ?? "" })}
          />
          <span>{words.oneModel}</span>
        </label>
        <label>
          <input
            type="radio"
            name={name}
            checked={router !== null}
            onChange={() => onFields({ router: { default: fields.model || usual }, model: "" })}
          />
          <span>{words.router}</span>
        </label>
      </div>
      {router === null ? (
        <TextField
          label={words.modelLabel}
          place="model"
          code
          value={fields.model ?? ""}
          placeholder={usual}
          offers={offers}
          hint={words.modelWhy(usual)}
          onValue={(model) => onFields({ model })}
        />
      ) : (
        <>
          <p className="small soft">{words.routerWhy}</p>
          <ItemList<Rule>
            items={router.rules ?? []}
            place="router.rules"
            fresh={{ model: usual }}
            addWords={words.addRule}
            removeWords={words.removeRule}
            onItems={(rules) => onFields({ router: { ...router, rules } })}
          >
            {(rule, change) => <RuleFields rule={rule} offers={offers} onRule={change} />}
          </ItemList>
          <TextField
            label={words.otherwise}
            place="router.default"
            code
            value={router.default ?? ""}
            offers={offers}
            onValue={(value) => onFields({ router: { ...router, default: value } })}
          />
          <Faults place="router" />
        </>
      )}
    </section>
  );
}

/** As recipes name a language. */
const JAPANESE = "ja";

interface RuleProps {
  rule: Rule;
  offers: readonly string[];
  onRule: (part: Partial<Rule>) => void;
}

function RuleFields({ rule, offers, onRule }: RuleProps) {
  const text = useText();
  const words = text.assistants;
  return (
    <div className="pair">
      <TextField
        label={words.ruleModel}
        code
        value={rule.model ?? ""}
        offers={offers}
        onValue={(model) => onRule({ model })}
      />
      <WordsField
        label={words.ruleWords}
        value={rule.words ?? []}
        onValue={(said) => onRule({ words: said })}
      />
      <TextField
        label={words.rulePattern}
        code
        value={rule.pattern ?? ""}
        onValue={(pattern) => onRule({ pattern })}
      />
      <TextField
        label={words.ruleLanguage}
        code
        placeholder={JAPANESE}
        value={rule.language ?? ""}
        onValue={(language) => onRule({ language })}
      />
      <NumberInput
        label={words.ruleLonger}
        place="-"
        value={rule.longer}
        onValue={(longer) => onRule({ longer })}
      />
    </div>
  );
}
