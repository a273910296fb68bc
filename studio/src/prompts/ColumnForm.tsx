import { useId } from "react";

import type { TechniqueList } from "../api/prompts";
import { CheckField, OptionFields } from "../assistants/inputs";
import { useText } from "../i18n";
import type { Column, Written } from "./bench";

interface Props {
  column: Column;
  number: string;
  written: Written;
  models: readonly string[];
  techniques: TechniqueList | null;
  onColumn: (part: Partial<Column>) => void;
  onRemove: (() => void) | null;
}

/** It searches documents, and a bench has none. */
const ELSEWHERE = "retrieval";

/** One way of asking: the model, the technique with its options, and the version. */
export function ColumnForm(props: Props) {
  const { column, number, written, models, techniques, onColumn, onRemove } = props;
  const text = useText();
  const words = text.prompts;
  const id = useId();
  const known = techniques?.data.filter(({ name }) => name !== ELSEWHERE) ?? [];
  const names = known.map(({ name }) => name);
  const offered = models.includes(column.model) ? models : [column.model, ...models];
  return (
    <div className="way" role="group" aria-label={words.columnOf(number)}>
      <div className="head">
        <strong className="small">{words.columnOf(number)}</strong>
        {onRemove ? (
          <button
            type="button"
            className="button quiet"
            aria-label={words.removeColumn(number)}
            onClick={onRemove}
          >
            {words.takeOut}
          </button>
        ) : null}
      </div>
      <label htmlFor={`${id}-model`}>{words.model}</label>
      <select
        id={`${id}-model`}
        className="field"
        translate="no"
        value={column.model}
        onChange={(event) => onColumn({ model: event.target.value })}
      >
        {offered.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <label htmlFor={`${id}-technique`}>{words.technique}</label>
      <select
        id={`${id}-technique`}
        className="field"
        value={column.technique ?? ""}
        onChange={({ target: { value } }) =>
          onColumn({ technique: value === "" ? null : value, options: {}, tools: [] })
        }
      >
        <option value="">{words.noTechnique}</option>
        {(column.technique === null || names.includes(column.technique)
          ? names
          : [column.technique, ...names]
        ).map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <label htmlFor={`${id}-version`}>{words.asVersion}</label>
      <select
        id={`${id}-version`}
        className="field"
        value={column.version ?? ""}
        onChange={({ target: { value } }) =>
          onColumn({ version: value === "" ? null : Number(value) })
        }
      >
        <option value="">{words.asWritten}</option>
        {written.versions.toReversed().map(({ number: one }) => (
          <option key={one} value={one}>
            {words.numbered(String(one))}
          </option>
        ))}
      </select>
      {column.technique === null || !techniques ? null : (
        <WayOptions column={column} techniques={techniques} onColumn={onColumn} />
      )}
    </div>
  );
}

interface OptionProps {
  column: Column;
  techniques: TechniqueList;
  onColumn: (part: Partial<Column>) => void;
}

function WayOptions({ column, techniques, onColumn }: OptionProps) {
  const words = useText().prompts;
  const found = techniques.data.find(({ name }) => name === column.technique);
  const known = Object.fromEntries((found?.options ?? []).map((one) => [one.name, one.default]));
  return (
    <details>
      <summary className="small">{words.options}</summary>
      <div className="stack">
        {found ? (
          <p className="small soft" lang="en">
            {found.about}
          </p>
        ) : null}
        {column.technique === "react" ? (
          <fieldset>
            <legend className="small">{words.tools}</legend>
            {techniques.tools.map((tool) => (
              <CheckField
                key={tool}
                label={<code translate="no">{tool}</code>}
                value={column.tools.includes(tool)}
                onValue={(yes) =>
                  onColumn({
                    tools: yes
                      ? [...column.tools, tool]
                      : column.tools.filter((one) => one !== tool),
                  })
                }
              />
            ))}
          </fieldset>
        ) : null}
        <OptionFields
          known={known}
          values={column.options}
          onValue={(name, value) => {
            const rest = Object.entries(column.options).filter(([other]) => other !== name);
            const own = value === undefined ? [] : [[name, value] as const];
            onColumn({ options: Object.fromEntries([...rest, ...own]) });
          }}
        />
      </div>
    </details>
  );
}
