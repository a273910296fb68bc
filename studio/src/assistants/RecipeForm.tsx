import type { RecipeChoices } from "../api/assistants";
import { useText } from "../i18n";
import { KnowledgePart, TechniquePart, ToolsPart } from "./ActingParts";
import { withOption, type Fields } from "./fields";
import { GuardsPart } from "./GuardsPart";
import { CheckField, Faults, ItemList, NumberInput, TextField, WordsField } from "./inputs";
import { ModelPart } from "./ModelPart";

export interface PartProps {
  fields: Fields;
  choices: RecipeChoices;
  onFields: (part: Partial<Fields>) => void;
}

/** The fields that are changed often; the YAML beside it has all of them. */
export function RecipeForm({ disabled, ...part }: PartProps & { disabled: boolean }) {
  return (
    <fieldset className="recipe" disabled={disabled}>
      <Faults place="" />
      <WhoPart {...part} />
      <ModelPart {...part} />
      <SystemPart {...part} />
      <StartersPart {...part} />
      <TechniquePart {...part} />
      <ToolsPart {...part} />
      <KnowledgePart {...part} />
      <GuardsPart {...part} />
      <DrawingPart {...part} />
      <TestsPart {...part} />
    </fieldset>
  );
}

function WhoPart({ fields, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  const { title, about } = fields;
  return (
    <section>
      <h2>{words.who}</h2>
      <div className="pair">
        <TextField
          label={words.titleEn}
          language="en"
          place="title"
          value={title?.en ?? ""}
          onValue={(en) => onFields({ title: { ...title, en } })}
        />
        <TextField
          label={words.titleJa}
          language="ja"
          value={title?.ja ?? ""}
          onValue={(ja) => onFields({ title: { ...title, ja } })}
        />
        <TextField
          label={words.aboutEn}
          language="en"
          place="about"
          rows={2}
          value={about?.en ?? ""}
          onValue={(en) => onFields({ about: { ...about, en } })}
        />
        <TextField
          label={words.aboutJa}
          language="ja"
          rows={2}
          value={about?.ja ?? ""}
          onValue={(ja) => onFields({ about: { ...about, ja } })}
        />
      </div>
    </section>
  );
}

function SystemPart({ fields, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  return (
    <section>
      <h2>{words.told}</h2>
      <TextField
        label={words.system}
        place="system"
        rows={9}
        hint={words.systemWhy}
        value={fields.system ?? ""}
        onValue={(system) => onFields({ system })}
      />
      <CheckField
        label={words.memory}
        value={fields.memory === true}
        onValue={(memory) => onFields({ memory })}
      />
      <Faults place="memory" />
    </section>
  );
}

function StartersPart({ fields, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  return (
    <section>
      <h2>{words.starters}</h2>
      <p className="small soft">{words.startersWhy}</p>
      <ItemList
        items={fields.starters ?? []}
        place="starters"
        fresh={{ en: "", ja: "" }}
        addWords={words.addStarter}
        removeWords={words.removeStarter}
        onItems={(starters) => onFields({ starters })}
      >
        {(starter, change) => (
          <div className="pair">
            <TextField
              label={words.english}
              language="en"
              value={starter.en ?? ""}
              onValue={(en) => change({ en })}
            />
            <TextField
              label={words.japanese}
              language="ja"
              value={starter.ja ?? ""}
              onValue={(ja) => change({ ja })}
            />
          </div>
        )}
      </ItemList>
    </section>
  );
}

const DRAWN = [
  ["temperature", "temperature"],
  ["max_tokens", "maxTokens"],
  ["top_p", "topP"],
  ["top_k", "topK"],
  ["min_p", "minP"],
  ["repetition_penalty", "repetitionPenalty"],
  ["presence_penalty", "presencePenalty"],
  ["frequency_penalty", "frequencyPenalty"],
] as const;

const LIMITED = [
  ["steps", "limitSteps"],
  ["tokens", "limitTokens"],
  ["seconds", "limitSeconds"],
  ["dollars", "limitDollars"],
] as const;

function DrawingPart({ fields, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  const { sampling, limits } = fields;
  return (
    <section>
      <h2>{words.drawing}</h2>
      <p className="small soft">{words.drawingWhy}</p>
      <div className="numbers-grid">
        {DRAWN.map(([name, label]) => (
          <NumberInput
            key={name}
            label={words.draws[label]}
            place={`sampling.${name}`}
            value={sampling?.[name]}
            onValue={(value) =>
              onFields({ sampling: withOption(sampling, name, value ?? undefined) })
            }
          />
        ))}
      </div>
      <Faults place="sampling" />
      <h3>{words.limits}</h3>
      <p className="small soft">{words.limitsWhy}</p>
      <div className="numbers-grid">
        {LIMITED.map(([name, label]) => (
          <NumberInput
            key={name}
            label={words.draws[label]}
            place={`limits.${name}`}
            value={limits?.[name]}
            onValue={(value) => onFields({ limits: withOption(limits, name, value ?? undefined) })}
          />
        ))}
      </div>
      <Faults place="limits" />
    </section>
  );
}

function TestsPart({ fields, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  return (
    <section>
      <h2>{words.tests}</h2>
      <p className="small soft">{words.testsWhy}</p>
      <ItemList
        items={fields.tests ?? []}
        place="tests"
        fresh={{ ask: "" }}
        addWords={words.addTest}
        removeWords={words.removeTest}
        onItems={(tests) => onFields({ tests })}
      >
        {(test, change) => (
          <div className="pair">
            <TextField
              label={words.testAsk}
              value={test.ask ?? ""}
              onValue={(ask) => change({ ask })}
            />
            <WordsField
              label={words.testContains}
              value={test.contains ?? []}
              onValue={(contains) => change({ contains })}
            />
            <WordsField
              label={words.testLacks}
              value={test.lacks ?? []}
              onValue={(lacks) => change({ lacks })}
            />
            <TextField
              label={words.testMatches}
              code
              value={test.matches ?? ""}
              onValue={(matches) => change({ matches })}
            />
          </div>
        )}
      </ItemList>
    </section>
  );
}
