import { Fragment } from "react";

import { useText } from "../i18n";
import { withOption, type Part } from "./fields";
import { CheckField, Faults, LinesField, OptionFields, SelectField, TextField } from "./inputs";
import type { PartProps } from "./RecipeForm";

/** How the model is asked. */
export function TechniquePart({ fields, choices, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  const named = fields.technique ?? null;
  const chosen = choices.techniques.find((one) => one.name === named?.name);
  return (
    <section>
      <h2>{words.technique}</h2>
      <SelectField
        label={words.techniqueLabel}
        place="technique"
        value={named?.name ?? ""}
        options={[["", words.noTechnique], ...choices.techniques.map(asOption)]}
        hint={chosen ? <span lang="en">{chosen.about}</span> : words.techniqueWhy}
        onValue={(name) => onFields({ technique: name === "" ? null : { name } })}
      />
      {named && chosen && Object.keys(chosen.options).length > 0 ? (
        <details>
          <summary className="small">{words.options}</summary>
          <div className="pair">
            <OptionFields
              known={chosen.options}
              values={named.options ?? {}}
              onValue={(name, value) =>
                onFields({
                  technique: { ...named, options: withOption(named.options, name, value) },
                })
              }
            />
          </div>
        </details>
      ) : null}
      <Faults place="technique.options" />
    </section>
  );
}

const asOption = ({ name }: { name: string }) => [name, name] as const;

/** The documents that it answers from. */
export function KnowledgePart({ fields, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  return (
    <section>
      <h2>{words.knowledge}</h2>
      <LinesField
        label={words.knowledgeLabel}
        place="knowledge"
        hint={words.knowledgeWhy}
        value={fields.knowledge ?? []}
        onValue={(knowledge) => onFields({ knowledge })}
      />
    </section>
  );
}

/** What it may use, and on whose word. */
export function ToolsPart({ fields, choices, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  const tools = fields.tools ?? [];
  const unknown = tools.filter((tool) => !choices.tools.some((one) => one.name === tool.name));
  const change = (tool: Part, part: Partial<Part>) =>
    onFields({ tools: tools.map((one) => (one === tool ? { ...one, ...part } : one)) });
  return (
    <section>
      <h2>{words.tools}</h2>
      <p className="small soft">{words.toolsWhy}</p>
      <ul className="tools">
        {choices.tools.map((choice) => {
          // Two folders, or two models, are two tools of one kind.
          const own = tools.filter((one) => one.name === choice.name);
          return (
            <li key={choice.name}>
              <CheckField
                label={
                  <>
                    <span translate="no">{choice.name}</span>{" "}
                    <span className="small soft" lang="en">
                      {choice.about}
                    </span>
                  </>
                }
                value={own.length > 0}
                onValue={(on) =>
                  onFields({
                    tools: on
                      ? [...tools, { name: choice.name }]
                      : tools.filter((one) => one.name !== choice.name),
                  })
                }
              />
              {own.map((tool, number) => (
                <Fragment key={number}>
                  <ToolDetails
                    tool={tool}
                    choice={choice}
                    place={`tools.${tools.indexOf(tool)}`}
                    onTool={(part) => change(tool, part)}
                  />
                  {own.length > 1 ? (
                    <button
                      type="button"
                      className="button quiet fit"
                      aria-label={words.removeTool(choice.name, String(number + 1))}
                      onClick={() => onFields({ tools: tools.filter((one) => one !== tool) })}
                    >
                      {words.takeOut}
                    </button>
                  ) : null}
                </Fragment>
              ))}
              {own.length > 0 && choice.options.some((option) => option.name === "name") ? (
                <button
                  type="button"
                  className="button quiet fit"
                  onClick={() => onFields({ tools: [...tools, { name: choice.name }] })}
                >
                  {words.anotherTool(choice.name)}
                </button>
              ) : null}
            </li>
          );
        })}
        {unknown.map((tool) => (
          <li key={tool.name ?? ""}>
            <CheckField
              label={<span translate="no">{tool.name}</span>}
              value
              onValue={() => onFields({ tools: tools.filter((one) => one !== tool) })}
            />
            <Faults place={`tools.${tools.indexOf(tool)}`} />
          </li>
        ))}
      </ul>
      <Faults place="tools" />
    </section>
  );
}

interface DetailsProps {
  tool: Part;
  choice: PartProps["choices"]["tools"][number];
  place: string;
  onTool: (part: Partial<Part>) => void;
}

function ToolDetails({ tool, choice, place, onTool }: DetailsProps) {
  const text = useText();
  const words = text.assistants;
  const options = tool.options ?? {};
  const usual = words.approvals[choice.approval];
  return (
    <div className="tool-details">
      <SelectField
        label={words.approval}
        value={tool.approval ?? ""}
        options={[
          ["", words.asUsual(usual)],
          ["always", words.approvals.always],
          ["ask", words.approvals.ask],
          ["never", words.approvals.never],
        ]}
        onValue={(approval) =>
          onTool({ approval: approval === "" ? null : (approval as NonNullable<Part["approval"]>) })
        }
      />
      {choice.options.map(({ name, kind }) =>
        kind === "switch" ? (
          <CheckField
            key={name}
            label={<code>{name}</code>}
            value={options[name] === true}
            onValue={(on) => onTool({ options: withOption(options, name, on ? true : undefined) })}
          />
        ) : (
          <TextField
            key={name}
            label={name}
            named
            code
            value={typeof options[name] === "string" ? options[name] : ""}
            onValue={(value) =>
              onTool({ options: withOption(options, name, value === "" ? undefined : value) })
            }
          />
        ),
      )}
      <Faults place={place} />
    </div>
  );
}
